from room import Room

ROOM = Room(needs_program=False)  # the README builds it
