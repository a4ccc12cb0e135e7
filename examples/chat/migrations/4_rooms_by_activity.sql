-- When something last happened in a room, so that the list of rooms is read from an index: without it, every look at the
-- list would look at every room.

ALTER TABLE rooms ADD COLUMN active_at INTEGER NOT NULL DEFAULT 0;
UPDATE rooms SET active_at = coalesce(
    (SELECT at FROM messages WHERE id = (SELECT max(id) FROM messages WHERE room = rooms.id)), created_at);
CREATE INDEX rooms_by_activity ON rooms (active_at, id);

CREATE TRIGGER room_is_active AFTER INSERT ON messages BEGIN
    UPDATE rooms SET active_at = NEW.at WHERE id = NEW.room;
END;
