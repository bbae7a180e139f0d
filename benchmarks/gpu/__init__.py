"""What has to be checked where a GPU is: kernels, losses, throughput, checkpoints, memory."""
