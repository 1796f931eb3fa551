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


async def test_one_that_cannot_be_made_is_not_lent_and_the_next_user_makes_it():
    leases = Leases(close)

    def fail() -> Thing:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with leases.lend("a", fail):
            pytest.fail("there is nothing to use")
    assert leases.lent() == []
    async with leases.lend("a", Thing) as thing:
        assert leases.lent() == [thing]


async def test_a_user_that_is_cancelled_lets_go():
    leases = Leases(close)
    things, begun = [], asyncio.Event()

    async def use() -> None:
        async with leases.lend("a", Thing) as thing:
            things.append(thing)
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert things[0].closed
    assert leases.lent() == []


async def test_whoever_comes_while_it_closes_gets_another():
    closing = asyncio.Event()

    async def slowly(thing: Thing) -> None:
        await closing.wait()
        thing.closed = True

    leases = Leases(slowly)
    lease = leases.lend("a", Thing)
    old = await lease.__aenter__()
    end = asyncio.create_task(lease.__aexit__(None, None, None))
    await asyncio.sleep(0)
    async with leases.lend("a", Thing) as new:
        assert new is not old
        closing.set()
        await end
        assert leases.lent() == [new]
        assert not new.closed
