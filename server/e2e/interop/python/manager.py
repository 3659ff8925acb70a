"""Says something in the lobby, as a Celery worker would: manager.py REDIS_URL TEXT."""

import sys

import socketio

url, text = sys.argv[1:]
manager = socketio.RedisManager(url, write_only=True)
manager.emit("new message", {"message": text, "id": text}, room="lobby")
manager.emit("new message", {"message": text, "id": text}, room="lobby")
