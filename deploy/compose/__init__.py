"""What the containers of deploy/compose.yaml need beside the image."""
