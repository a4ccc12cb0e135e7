-- What was said, as everyone is told it: with the name of who said it, and the id of the message before it in its room.

CREATE VIEW said AS
SELECT m.id, m.room, m.user, u.name AS "from", m.text, m.at, m.key,
    (SELECT coalesce(max(p.id), 0) FROM messages p WHERE p.room = m.room AND p.id < m.id) AS previous
FROM messages m JOIN users u ON u.id = m.user;
