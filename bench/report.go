package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// measurements are the samples of one run.
type measurements struct {
	createByHand, createByWrenn     []time.Duration
	pauseByHand, pauseByWrenn       []time.Duration
	resumeByWrenn                   []time.Duration
	commandStraight, commandByWrenn []time.Duration
}

// report is what is printed.
type report struct {
	Samples     []sample     `json:"samples"`
	Comparisons []comparison `json:"comparisons"`
}

// sample is one thing measured many times, in milliseconds.
type sample struct {
	Name    string  `json:"name"`
	Count   int     `json:"count"`
	P50     float64 `json:"p50Milliseconds"`
	P95     float64 `json:"p95Milliseconds"`
	Minimum float64 `json:"minimumMilliseconds"`
	Maximum float64 `json:"maximumMilliseconds"`
}

// comparison is a figure that the design sets a target for.
type comparison struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Target float64 `json:"target"`
	Met    bool    `json:"met"`
}

// Targets of the design for figures where less is better.
const (
	createTarget  = 1.25 // times the same by hand
	pauseTarget   = 1.5  // times the bare VMM's
	resumeTarget  = 1.5  // times the bare VMM's
	commandTarget = 5.0  // milliseconds more than straight to the guest agent
)

func (m *measurements) report() *report {
	createByHand := summarise("create → first output, by hand", m.createByHand)
	createByWrenn := summarise("create → first output, Wrenn", m.createByWrenn)
	pauseByHand := summarise("pause to disk, by hand", m.pauseByHand)
	pauseByWrenn := summarise("pause to disk, Wrenn", m.pauseByWrenn)
	resumeByWrenn := summarise("resume → first output, Wrenn", m.resumeByWrenn)
	straight := summarise("command, straight to envd", m.commandStraight)
	byWrenn := summarise("command, Wrenn", m.commandByWrenn)
	return &report{
		Samples: []sample{createByHand, createByWrenn, pauseByHand, pauseByWrenn, resumeByWrenn, straight, byWrenn},
		Comparisons: []comparison{
			compare("create", createByWrenn.P50/createByHand.P50, "× by hand", createTarget),
			compare("pause", pauseByWrenn.P50/pauseByHand.P50, "× by hand", pauseTarget),
			// Bare QEMU resumes as it starts from a template: by a restore.
			compare("resume", resumeByWrenn.P50/createByHand.P50, "× restore by hand", resumeTarget),
			compare("command", byWrenn.P50-straight.P50, "ms more than straight", commandTarget),
		},
	}
}

func compare(name string, value float64, unit string, target float64) comparison {
	return comparison{Name: name, Value: value, Unit: unit, Target: target, Met: value <= target}
}

func summarise(name string, durations []time.Duration) sample {
	sorted := slices.Sorted(slices.Values(durations))
	return sample{
		Name: name, Count: len(sorted),
		P50: percentile(sorted, 0.50), P95: percentile(sorted, 0.95),
		Minimum: percentile(sorted, 0), Maximum: percentile(sorted, 1),
	}
}

// percentile interpolates between the two nearest of sorted durations, which
// are not empty, and answers in milliseconds.
func percentile(sorted []time.Duration, share float64) float64 {
	position := share * float64(len(sorted)-1)
	below := sorted[int(math.Floor(position))]
	above := sorted[int(math.Ceil(position))]
	fraction := position - math.Floor(position)
	return (float64(below) + fraction*float64(above-below)) / float64(time.Millisecond)
}

func (r *report) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tn\tp50 ms\tp95 ms\tmin\tmax\t")
	for _, s := range r.Samples {
		fmt.Fprintf(table, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t\n", s.Name, s.Count, s.P50, s.P95, s.Minimum, s.Maximum)
	}
	fmt.Fprintln(table)
	fmt.Fprintln(table, "\tmeasured\ttarget\t\t\t\t")
	for _, c := range r.Comparisons {
		verdict := "missed"
		if c.Met {
			verdict = "met"
		}
		fmt.Fprintf(table, "%s (%s)\t%.2f\t%.2f\t%s\t\t\t\n", c.Name, c.Unit, c.Value, c.Target, verdict)
	}
	return table.Flush()
}
