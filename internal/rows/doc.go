// Package rows is what sqlc makes of db/queries: one struct for each row and one
// method for each query. It is internal so that no row is part of the public Go
// API: a store maps rows to the domain's types.
package rows
