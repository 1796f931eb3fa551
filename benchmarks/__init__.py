"""What imports, waits and cancels cost beside rivals; `make bench`. Not part of the wheel."""
