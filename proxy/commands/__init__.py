"""The commands of `weir`, one file each; each has `main(arguments) -> exit code`."""
