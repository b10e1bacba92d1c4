"""The API described by itself: an OpenAPI document made from the models that validate, and a page that shows it."""
