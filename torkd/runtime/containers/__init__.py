"""A task with images in, containers on Docker or Podman, its result out; nothing of it stays."""
