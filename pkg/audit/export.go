package audit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// exportPage is how many entries an export reads at a time.
const exportPage = 500

// ExportJSONLines writes all entries that a query selects, the newest first, each
// a JSON object on a line.
func (l Log) ExportJSONLines(ctx context.Context, query Query, to io.Writer) error {
	encoder := json.NewEncoder(to)
	return l.each(ctx, query, func(entry Entry) error { return encoder.Encode(entry) })
}

// csvHeader names the columns of ExportCSV.
var csvHeader = []string{
	"id", "at", "teamID", "actorKind", "actorID", "actorName", "action", "resourceKind", "resourceID",
	"outcome", "status", "address", "userAgent", "requestID", "details",
}

// ExportCSV writes all entries that a query selects, the newest first, under a
// line with the names of the columns.
func (l Log) ExportCSV(ctx context.Context, query Query, to io.Writer) error {
	writer := csv.NewWriter(to)
	if err := writer.Write(csvHeader); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	err := l.each(ctx, query, func(entry Entry) error {
		row := []string{
			strconv.FormatInt(entry.ID, 10), entry.At.Format(time.RFC3339Nano), entry.TeamID.String(),
			entry.Actor.Kind, entry.Actor.ID, entry.Actor.Name, entry.Action, entry.Resource.Kind, entry.Resource.ID,
			string(entry.Outcome), strconv.Itoa(entry.Status), entry.Address, entry.UserAgent, entry.RequestID, string(entry.Details),
		}
		for i, cell := range row {
			row[i] = inert(cell)
		}
		return writer.Write(row)
	})
	if err != nil {
		return err
	}
	writer.Flush()
	if err := writer.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// inert keeps a client's text from being a formula where the file is opened.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// each reads page after page. It holds no transaction meanwhile: what is written
// during an export is newer than its first page.
func (l Log) each(ctx context.Context, query Query, write func(Entry) error) error {
	query.Limit = exportPage
	for {
		entries, err := l.List(ctx, query)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := write(entry); err != nil {
				return fmt.Errorf("write audit entry: %w", err)
			}
			query.BeforeID = entry.ID
		}
		if len(entries) < exportPage {
			return nil
		}
	}
}
