-- name: EnsureTeam :one
INSERT INTO teams (id, slug, name) VALUES ($1, $2, $3)
ON CONFLICT (slug) DO UPDATE SET slug = EXCLUDED.slug
RETURNING *;
