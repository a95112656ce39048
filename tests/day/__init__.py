"""A day of work in minutes: does any table grow that should not?"""
