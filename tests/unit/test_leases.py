import asyncio

import pytest

from airflow_provider_runs.transport.leases import Leases


class Thing:
    closed = False


async def close(thing: Thing) -> None:
    thing.closed = True


async def test_users_of_one_name_share_a_thing_that_closes_after_the_last():
    leases = Leases(close)
    async with leases.lend("a", Thing) as first:
        async with leases.lend("a", Thing) as second, leases.lend("b", Thing) as other:
            assert first is second
            assert other is not first
            assert leases.lent() == [first, other]
        assert other.closed
        assert not first.closed
    assert first.closed
    assert leases.lent() == []


async def test_a_thing_is_closed_also_where_its_user_fails():
    leases = Leases(close)
    with pytest.raises(ZeroDivisionError):
        async with leases.lend("a", Thing) as thing:
            raise ZeroDivisionError
    assert thing.closed


def test_each_event_loop_has_its_own():
    leases, seen = Leases(close), []

    async def use() -> None:
        async with leases.lend("a", Thing) as thing:
            seen.append(thing)
            await asyncio.sleep(0)

    asyncio.run(use())
    asyncio.run(use())
    assert seen[0] is not seen[1]
