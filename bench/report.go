package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// measurements are the samples of one run.
type measurements struct {
	createByHand, createByWrenn     []time.Duration
	createAnswered                  []time.Duration
	warmByHand, createWarm          []time.Duration
	forks, forkCreates              []time.Duration // ten forks at once, and one create in turns with them
	fleetCreates                    []time.Duration
	fleetTime                       time.Duration // for all of fleetCreates
	fleetMemory                     float64       // bytes of each idle sandbox
	fleetCPU                        float64       // share of a CPU that each idle sandbox takes
	pauseByHand, pauseByWrenn       []time.Duration
	resumeByWrenn                   []time.Duration
	commandStraight, commandByWrenn []time.Duration
	commandForked, commandInside    []time.Duration
	uploadByHand, uploadByAgent     []time.Duration
	downloadByHand, downloadByAgent []time.Duration
	readByHand, readByAPI           []time.Duration // for a thousand
	listByHand, listByAPI           []time.Duration // for a thousand
	buildFirst, buildAgain          []time.Duration
	buildLast                       []time.Duration // another file in the last copy
	layersStored, layersWritten     float64         // bytes that the layers of a build take, and that its steps wrote
	layers                          int
	imageToSandbox, baseToSandbox   []time.Duration // first output in a sandbox of a build without steps
	warmCache, warmCacheAhead       []time.Duration // restore → first output, its memory in the page cache
	coldCache, coldCacheAhead       []time.Duration // and out of it; with its pages read ahead
	readaheadPages, readaheadSpans  int
	agentMemory                     float64 // bytes
	agentSize                       float64 // bytes
}

// report is the output.
type report struct {
	Samples     []sample     `json:"samples"`
	Comparisons []comparison `json:"comparisons"`
}

// sample sums up many measurements of one operation, in milliseconds.
type sample struct {
	Name    string  `json:"name"`
	Count   int     `json:"count"`
	P50     float64 `json:"p50Milliseconds"`
	P95     float64 `json:"p95Milliseconds"`
	P99     float64 `json:"p99Milliseconds"`
	Minimum float64 `json:"minimumMilliseconds"`
	Maximum float64 `json:"maximumMilliseconds"`
}

// comparison is a value for which the design sets a target.
type comparison struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Target float64 `json:"target"`
	Met    bool    `json:"met"`
}

// Targets of the design. Lower values are better.
const (
	createTarget     = 1.10 // times the same by hand
	warmTarget       = 0.30 // times the same by hand
	forksTarget      = 2.5  // times one create
	idleMemoryTarget = 28   // MiB
	idleCPUTarget    = 3.0  // milliseconds a second
	pauseTarget      = 0.7  // times the bare VMM's
	resumeTarget     = 1.1  // times the bare VMM's
	commandTarget    = 1.0  // milliseconds more than straight to the guest agent
	insideTarget     = 1.25 // times fork and exec in the guest
	transferTarget   = 1.0  // times the time over raw TCP
	apiTarget        = 1.3  // times the time of a bare handler
	rebuildTarget    = 0.10 // times the first build
	partTarget       = 0.60 // times the first build
	layersTarget     = 1.5  // times what the steps wrote
	imageTarget      = 3.0  // times the same from a base that the host has
	memoryTarget     = 24   // MiB
	sizeTarget       = 20   // MB
)

// report returns the results of the parts that were measured.
func (m *measurements) report() *report {
	r := &report{}
	if m.readByHand != nil {
		r.addAPI(m)
	}
	if m.createByHand != nil {
		r.addCold(m)
	}
	if m.warmByHand != nil {
		r.addWarm(m)
	}
	if m.buildFirst != nil {
		r.addBuilds(m)
	}
	if m.warmCache != nil {
		r.addReadahead(m)
	}
	return r
}

func (r *report) addAPI(m *measurements) {
	readByHand := summarise("1000 sandboxes read, bare handler", m.readByHand)
	readByAPI := summarise("1000 sandboxes read, API", m.readByAPI)
	listByHand := summarise("1000 pages listed, bare handler", m.listByHand)
	listByAPI := summarise("1000 pages listed, API", m.listByAPI)
	r.Samples = append(r.Samples, readByHand, readByAPI, listByHand, listByAPI)
	r.Comparisons = append(r.Comparisons,
		compare("read", medianRatio(m.readByAPI, m.readByHand), "× bare handler", apiTarget),
		compare("list", medianRatio(m.listByAPI, m.listByHand), "× bare handler", apiTarget))
}

func (r *report) addWarm(m *measurements) {
	warm := summarise("create → first output, held ready", m.createWarm)
	warmByHand := summarise("  in turns with that, by hand", m.warmByHand)
	r.Samples = append(r.Samples, warmByHand, warm)
	r.Comparisons = append(r.Comparisons, compare("create, held ready", warm.P50/warmByHand.P50, "× by hand", warmTarget))
}

func (r *report) addBuilds(m *measurements) {
	r.Samples = append(r.Samples,
		summarise("build of a template", m.buildFirst), summarise("the same once more", m.buildAgain),
		summarise("with another file in the last copy", m.buildLast),
		summarise("image → first output of a sandbox", m.imageToSandbox), summarise("  in turns with that, from a base", m.baseToSandbox))
	r.Comparisons = append(r.Comparisons,
		compare("identical build", medianRatio(m.buildAgain, m.buildFirst), "× first build", rebuildTarget),
		compare("build, its last copy changed", medianRatio(m.buildLast, m.buildFirst), "× first build", partTarget),
		compare("image → sandbox", medianRatio(m.imageToSandbox, m.baseToSandbox), "× from a base", imageTarget),
		compare(fmt.Sprintf("stored, %.1f MiB a layer", m.layersStored/float64(m.layers)/(1<<20)), m.layersStored/m.layersWritten, "× written", layersTarget))
}

func (r *report) addReadahead(m *measurements) {
	r.Samples = append(r.Samples,
		summarise("restore by hand, memory cached", m.warmCache), summarise("  read ahead", m.warmCacheAhead),
		summarise("restore by hand, memory not cached", m.coldCache), summarise("  read ahead", m.coldCacheAhead))
	pages := fmt.Sprintf("read ahead, %d pages in %d ranges", m.readaheadPages, m.readaheadSpans)
	r.Comparisons = append(r.Comparisons,
		compare(pages+", cached", medianRatio(m.warmCacheAhead, m.warmCache), "× without", 1),
		compare(pages+", not cached", medianRatio(m.coldCacheAhead, m.coldCache), "× without", 1))
}

func (r *report) addCold(m *measurements) {
	createByHand := summarise("create → first output, by hand", m.createByHand)
	createByWrenn := summarise("create → first output, Wrenn", m.createByWrenn)
	answered := summarise("  of that, the API's answer", m.createAnswered)
	forks := summarise("ten forks", m.forks)
	forkCreates := summarise("  in turns with that, one create", m.forkCreates)
	fleet := summarise(fmt.Sprintf("each of %d creates, %.1f a second", len(m.fleetCreates), float64(len(m.fleetCreates))/m.fleetTime.Seconds()), m.fleetCreates)
	pauseByHand := summarise("pause to disk, by hand", m.pauseByHand)
	pauseByWrenn := summarise("pause to disk, Wrenn", m.pauseByWrenn)
	resumeByWrenn := summarise("resume → first output, Wrenn", m.resumeByWrenn)
	straight := summarise("command, straight to envd", m.commandStraight)
	byWrenn := summarise("command, Wrenn", m.commandByWrenn)
	added := summarise("command, Wrenn − straight", differences(m.commandByWrenn, m.commandStraight))
	forked := summarise("in the guest: fork and exec", m.commandForked)
	inside := summarise("in the guest: the same by envd", m.commandInside)
	uploadByHand := summarise("100 MB in, raw TCP", m.uploadByHand)
	uploadByAgent := summarise("100 MB in, envd", m.uploadByAgent)
	downloadByHand := summarise("100 MB out, raw TCP", m.downloadByHand)
	downloadByAgent := summarise("100 MB out, envd", m.downloadByAgent)
	r.Samples = append(r.Samples,
		createByHand, createByWrenn, answered, forks, forkCreates, fleet, pauseByHand, pauseByWrenn, resumeByWrenn, straight, byWrenn, added,
		forked, inside, uploadByHand, uploadByAgent, downloadByHand, downloadByAgent)
	r.Comparisons = append(r.Comparisons,
		compare("create", createByWrenn.P50/createByHand.P50, "× by hand", createTarget),
		compare("ten forks", medianRatio(m.forks, m.forkCreates), "× one create", forksTarget),
		compare("a sandbox at rest", m.fleetMemory/(1<<20), "MiB", idleMemoryTarget),
		compare("a sandbox at rest", m.fleetCPU*1000, "ms of CPU a second", idleCPUTarget),
		compare("pause", pauseByWrenn.P50/pauseByHand.P50, "× by hand", pauseTarget),
		// QEMU by hand resumes as it starts from a template, by a restore.
		compare("resume", resumeByWrenn.P50/createByHand.P50, "× restore by hand", resumeTarget),
		compare("command", added.P50, "ms more than straight", commandTarget),
		compare("command in the guest", medianRatio(m.commandInside, m.commandForked), "× fork and exec", insideTarget),
		compare("upload", uploadByAgent.P50/uploadByHand.P50, "× raw TCP", transferTarget),
		compare("download", downloadByAgent.P50/downloadByHand.P50, "× raw TCP", transferTarget),
		compare("envd at rest", m.agentMemory/(1<<20), "MiB resident", memoryTarget),
		compare("envd's binary", m.agentSize/1e6, "MB", sizeTarget))
}

func compare(name string, value float64, unit string, target float64) comparison {
	return comparison{Name: name, Value: value, Unit: unit, Target: target, Met: value <= target}
}

// differences returns the difference of each turn: load that slows both sides of a turn
// cancels out.
func differences(of, from []time.Duration) []time.Duration {
	found := make([]time.Duration, len(of))
	for i := range of {
		found[i] = of[i] - from[i]
	}
	return found
}

// medianRatio returns the median of each turn's ratio: load that slows both sides of a
// turn cancels out.
func medianRatio(of, from []time.Duration) float64 {
	ratios := make([]float64, len(of))
	for i := range of {
		ratios[i] = float64(of[i]) / float64(from[i])
	}
	slices.Sort(ratios)
	middle := len(ratios) / 2
	return (ratios[middle] + ratios[len(ratios)-1-middle]) / 2
}

func summarise(name string, durations []time.Duration) sample {
	sorted := slices.Sorted(slices.Values(durations))
	return sample{
		Name: name, Count: len(sorted),
		P50: percentile(sorted, 0.50), P95: percentile(sorted, 0.95), P99: percentile(sorted, 0.99),
		Minimum: percentile(sorted, 0), Maximum: percentile(sorted, 1),
	}
}

// percentile interpolates between the two nearest of sorted durations, of which there
// is at least one, and returns milliseconds.
func percentile(sorted []time.Duration, share float64) float64 {
	position := share * float64(len(sorted)-1)
	below := sorted[int(math.Floor(position))]
	above := sorted[int(math.Ceil(position))]
	fraction := position - math.Floor(position)
	return (float64(below) + fraction*float64(above-below)) / float64(time.Millisecond)
}

func (r *report) print(out io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%-36s %4s %9s %9s %9s %9s %9s\n", "milliseconds", "n", "p50", "p95", "p99", "min", "max")
	for _, s := range r.Samples {
		fmt.Fprintf(&text, "%-36s %4d %9.1f %9.1f %9.1f %9.1f %9.1f\n", s.Name, s.Count, s.P50, s.P95, s.P99, s.Minimum, s.Maximum)
	}
	fmt.Fprintf(&text, "\n%-40s %14s %9s\n", "medians", "measured", "target")
	for _, c := range r.Comparisons {
		verdict := "missed"
		if c.Met {
			verdict = "met"
		}
		fmt.Fprintf(&text, "%-40s %14.2f %9.2f  %s\n", c.Name+", "+c.Unit, c.Value, c.Target, verdict)
	}
	_, err := io.WriteString(out, text.String())
	return err
}
