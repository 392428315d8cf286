"""The front door of the data port and of the admin port."""
