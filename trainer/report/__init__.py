"""Reports: what people look at while a network trains, and afterwards."""
