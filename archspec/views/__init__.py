"""Views: what a plan looks like, made from the plan alone, without torch."""
