"""What people do: draft and review safety data, compare answers blind, and the page they work on."""
