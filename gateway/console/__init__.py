"""The console: one page from which an operator sees whether events flow, and acts where they do not."""
