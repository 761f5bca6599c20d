package activity

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/audit"
)

// writeJSONLines writes entries as JSON objects, one a line.
func writeJSONLines(entries iter.Seq2[audit.Entry, error], to io.Writer) error {
	encoder := json.NewEncoder(to)
	for entry, err := range entries {
		if err != nil {
			return err
		}
		if err := encoder.Encode(entryOf(entry)); err != nil {
			return fmt.Errorf("write audit entry: %w", err)
		}
	}
	return nil
}

// csvHeader names the columns of writeCSV.
var csvHeader = []string{
	"id", "at", "teamID", "actorKind", "actorID", "actorName", "action", "resourceKind", "resourceID",
	"outcome", "status", "address", "userAgent", "requestID", "details",
}

// writeCSV writes entries below a line with the names of the columns.
func writeCSV(entries iter.Seq2[audit.Entry, error], to io.Writer) error {
	writer := csv.NewWriter(to)
	if err := writer.Write(csvHeader); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	for entry, err := range entries {
		if err != nil {
			return err
		}
		if err := writer.Write(csvRow(entry)); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	writer.Flush()
	if err := writer.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

func csvRow(entry audit.Entry) []string {
	row := []string{
		strconv.FormatInt(entry.ID, 10), entry.At.Format(time.RFC3339Nano), entry.TeamID.String(),
		entry.Actor.Kind, entry.Actor.ID, entry.Actor.Name, entry.Action, entry.Resource.Kind, entry.Resource.ID,
		string(entry.Outcome), strconv.Itoa(entry.Status), entry.Address, entry.UserAgent, entry.RequestID, string(entry.Details),
	}
	for i, cell := range row {
		row[i] = inert(cell)
	}
	return row
}

// inert keeps a spreadsheet from reading a client's text as a formula.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
