"""What backends share that ask another machine for a login: whether it is up, whom its certificate must come from, how long a no takes."""
