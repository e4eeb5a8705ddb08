"""Where bytes from outside arrive: one loop over one selector, and one file for each protocol it speaks."""
