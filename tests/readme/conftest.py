from room import Room

ROOM = Room()
