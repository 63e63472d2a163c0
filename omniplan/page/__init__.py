"""The planner as a page: what it asks and is answered, the headers it was shown, and the server of its files."""
