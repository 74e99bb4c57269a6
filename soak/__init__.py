"""The soak: injects faults into pyinit for minutes or hours, and checks after each whether it kept its promises."""
