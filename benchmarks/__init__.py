"""What imports cost and how late a run's end is seen; `make bench`. Not part of the wheel."""
