"""How Floodgate is run: on one machine (`deploy.local`), and as images and charts beside it."""
