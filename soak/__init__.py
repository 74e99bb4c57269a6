"""The soak: faults of all kinds for minutes or hours, and after each a look whether pyinit has kept its promises."""
