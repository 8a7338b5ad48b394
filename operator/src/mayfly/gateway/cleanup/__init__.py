"""What goes after its time: deleted runs, data past its retention, leftovers."""
