"""What ends a training or holds it up, one file each."""
