"""What ./dev bench runs: filesystems one after the other on one loop device, the same work on each."""
