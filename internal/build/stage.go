package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"git.omukk.dev/wrenn/sandbox/internal/build/buildlog"
	"git.omukk.dev/wrenn/sandbox/internal/build/layer"
	"git.omukk.dev/wrenn/sandbox/internal/build/machine"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/sandbox/guest"
	"git.omukk.dev/wrenn/sandbox/internal/snapshot"
)

// stage is one that is being built.
type stage struct {
	*attempt
	stageEnd
	// forced: a step ran although its result was in the cache, and so do all later ones.
	forced bool
	// machine has the file system of the layer; nil until a step has to run.
	machine *machine.Machine
	// packed are the files of another stage that the step under way copies; nil for none.
	packed io.ReadSeekCloser
	digest string
	// kills are the commands that the guest's kernel has ended so far.
	kills int64
}

func (a *attempt) buildStage(ctx context.Context, index int) (_ stageEnd, err error) {
	wanted := a.request.Stages[index]
	s := &stage{attempt: a, forced: a.request.Force}
	defer func() {
		if s.machine != nil {
			err = errors.Join(err, s.machine.Stop())
		}
	}()
	err = ctx.Err()
	if err == nil {
		err = s.buildBase(ctx, wanted.Base)
	}
	if err != nil {
		return stageEnd{}, &stepError{step: stepBase, err: err}
	}
	for _, step := range wanted.Steps {
		if err := ctx.Err(); err != nil {
			return stageEnd{}, &stepError{step: step.Name, line: step.Line, err: err}
		}
		if err := s.doStep(ctx, step); err != nil {
			return stageEnd{}, &stepError{step: step.Name, line: step.Line, err: err}
		}
	}
	return stageEnd{layerID: s.layerID, context: s.context.ForStage()}, nil
}

// doStep does a step, or finds its result in the cache.
func (s *stage) doStep(ctx context.Context, step plan.Step) (err error) {
	report := s.stepReport(step)
	s.forced = s.forced || step.Force
	if next, ok := s.context.Apply(step.Do); ok {
		if s.forced || s.machine != nil {
			report.announce(step.Text)
			report.done(0)
		} else {
			report.cached(step.Text)
		}
		s.context = next
		return nil
	}
	instruction := s.context.Expanded(step.Do)
	keys, found, err := s.lookUp(ctx, instruction)
	defer func() { err = errors.Join(err, s.closePacked()) }()
	if err != nil {
		report.announce(step.Text)
		report.done(0)
		return err
	}
	if found {
		report.cached(step.Text)
		return nil
	}
	report.announce(step.Text)
	before := s.stageEnd
	bytes, err := s.executeAndKeep(ctx, report, instruction, keys)
	if s.mayRepeat(ctx, err, report) {
		// With another layer the step is done, and the VM ended after that.
		if err = s.stopMachine(); err == nil && s.layerID == before.layerID {
			s.stageEnd = before
			bytes, err = s.executeAndKeep(ctx, report, instruction, keys)
		}
	}
	report.done(bytes)
	return err
}

// executeAndKeep does an instruction and stores its result. It returns the size of its layer.
func (s *stage) executeAndKeep(ctx context.Context, report *report, instruction plan.Instruction, keys []plan.Key) (bytes int64, err error) {
	done, err := s.execute(ctx, report, instruction)
	if err != nil {
		return 0, err
	}
	return s.keep(ctx, keys, done)
}

// lookUp goes on from an instruction's result, if it is in the cache. Otherwise it returns
// the keys under which the result is to be stored.
func (s *stage) lookUp(ctx context.Context, instruction plan.Instruction) (keys []plan.Key, found bool, err error) {
	if add, ok := instruction.(plan.AddURL); ok && add.Checksum == "" {
		return s.lookUpURL(ctx, add)
	}
	files, isCopy := instruction.(plan.Copy)
	if !isCopy || files.FromStage == nil && files.FromImage == nil {
		key := plan.StepKey(s.layerID, s.context, instruction, "")
		found, err = s.goOnFrom(key)
		return []plan.Key{key}, found, err
	}
	origin, open, err := s.originOf(ctx, files)
	if err != nil {
		return nil, false, err
	}
	files.FromStage, files.FromImage = nil, nil
	key := plan.StepKey(s.layerID, s.context, files, "from "+origin)
	if found, err = s.goOnFrom(key); found || err != nil {
		return nil, found, err
	}
	// The other stage is another than before. Its files may be the same.
	if s.packed, s.digest, err = open(ctx); err != nil {
		return nil, false, err
	}
	byContent := plan.StepKey(s.layerID, s.context, files, "content "+s.digest)
	if found, err = s.goOnFrom(byContent); found && err == nil {
		err = s.config.Layers.AddEntry(s.request.TeamID, key, layer.Entry{LayerID: s.layerID, Context: s.context})
	}
	return []plan.Key{key, byContent}, found, err
}

// goOnFrom goes on from a result in the cache; found is false without one, and for a step
// that is to run in any case.
func (s *stage) goOnFrom(key plan.Key) (found bool, err error) {
	if s.forced {
		return false, nil
	}
	entry, found := s.find(key)
	if !found {
		return false, nil
	}
	if s.machine != nil && entry.LayerID != s.layerID {
		// The VM has the files of another layer.
		err = s.stopMachine()
	}
	s.layerID, s.context = entry.LayerID, entry.Context
	return true, err
}

// outcome is what an instruction has done.
type outcome struct {
	// changed: the file system is another than before.
	changed bool
	context plan.Context
	// source is what was downloaded; nil for none.
	source *layer.Source
	// more are keys beside those of the instruction.
	more []plan.Key
}

// execute does an instruction in the VM.
func (s *stage) execute(ctx context.Context, report *report, instruction plan.Instruction) (outcome, error) {
	if err := s.ensureMachine(ctx); err != nil {
		return outcome{}, err
	}
	switch i := instruction.(type) {
	case plan.Run:
		return s.run(ctx, report, i)
	case plan.Workdir:
		return s.workdir(ctx, i)
	case plan.User:
		return s.user(ctx, i)
	case plan.Copy:
		return s.copy(ctx, i)
	case plan.AddURL:
		return s.download(ctx, i)
	default:
		return outcome{}, &Failure{Cause: CauseInvalidStep, Message: fmt.Sprintf("This host cannot do a step of the kind %T", instruction)}
	}
}

func (s *stage) workdir(ctx context.Context, i plan.Workdir) (outcome, error) {
	made, err := s.machine.Do(ctx, machine.Request{Workdir: &machine.Workdir{Path: i.Path, Owner: s.context.User}}, nil, nil)
	next := s.context
	next.Workdir = i.Path
	return outcome{changed: made.Changed, context: next}, err
}

func (s *stage) user(ctx context.Context, i plan.User) (outcome, error) {
	found, err := s.machine.Do(ctx, machine.Request{User: &machine.User{Name: i.Name, Sudo: i.Sudo, MustExist: i.MustExist}}, nil, nil)
	next := s.context
	next.User, next.Home = found.Name, found.Home
	return outcome{changed: found.Changed, context: next}, err
}

// keep stores the result of an instruction, and returns the size of its layer.
func (s *stage) keep(ctx context.Context, keys []plan.Key, done outcome) (bytes int64, err error) {
	s.context = done.context
	keys = append(keys, done.more...)
	if done.changed {
		bytes, err = s.capture(ctx, keys[0], done)
		keys = keys[1:]
	}
	for _, key := range keys {
		if err == nil {
			err = s.config.Layers.AddEntry(s.request.TeamID, key, layer.Entry{LayerID: s.layerID, Context: done.context, Source: done.source})
		}
	}
	return bytes, err
}

// capture makes a layer of the VM's disk and goes on from it.
func (s *stage) capture(ctx context.Context, key plan.Key, done outcome) (int64, error) {
	before, err := s.hold(s.layerID)
	if err != nil {
		return 0, err
	}
	var bytes int64
	err = s.machine.Capture(ctx, s.disks, func(diskPath string) error {
		bytes, err = s.addLayer(ctx, layer.Added{
			TeamID: s.request.TeamID, Key: key, ParentID: s.layerID, Disk: s.disks.Source(diskPath), DiskMiB: before.DiskMiB, Context: done.context, Source: done.source,
		})
		return err
	})
	return bytes, err
}

// addLayer adds a layer and goes on from it.
func (s *stage) addLayer(ctx context.Context, added layer.Added) (int64, error) {
	entry, bytes, err := s.attempt.addLayer(ctx, added)
	if err == nil {
		s.layerID = entry.LayerID
	}
	return bytes, err
}

func (a *attempt) addLayer(ctx context.Context, added layer.Added) (layer.Entry, int64, error) {
	entry, bytes, release, err := a.config.Layers.Add(ctx, added)
	if err != nil {
		return layer.Entry{}, 0, err
	}
	a.used, a.held = append(a.used, entry.LayerID), append(a.held, release)
	return entry, bytes, nil
}

// ensureMachine boots the VM with the layer's files, unless it runs.
func (s *stage) ensureMachine(ctx context.Context) (err error) {
	if s.machine == nil {
		s.machine, err = s.boot(ctx, s.layerID, asRoot)
		s.kills = 0
	}
	return err
}

func (s *stage) stopMachine() error {
	stopped := s.machine
	s.machine = nil
	return stopped.Stop()
}

// asRoot is for guests in which only steps run, which name their users: an image may have
// no other.
var asRoot = snapshot.Defaults{User: "root"}

// boot boots a VM of the template's size with a layer's files.
func (a *attempt) boot(ctx context.Context, layerID string, defaults snapshot.Defaults) (*machine.Machine, error) {
	disk, err := a.hold(layerID)
	if err != nil {
		return nil, err
	}
	return a.bootDisk(ctx, disk, defaults)
}

// bootDisk boots a VM with a clone of a disk. The guest enlarges its file system to the
// disk's size.
func (a *attempt) bootDisk(ctx context.Context, disk *snapshot.Snapshot, defaults snapshot.Defaults) (*machine.Machine, error) {
	base := *disk
	base.VCPUCount, base.MemoryMiB = a.request.VCPUCount, a.request.MemoryMiB
	started, err := a.startMachine(ctx, &base, defaults)
	if err != nil {
		return nil, explainBoot(err)
	}
	return started, nil
}

func (a *attempt) startMachine(ctx context.Context, base *snapshot.Snapshot, defaults snapshot.Defaults) (*machine.Machine, error) {
	a.vms++
	number := strconv.Itoa(a.vms)
	return a.config.Guests.Start(ctx, machine.Spec{
		Name: "build-" + a.request.BuildID + "-" + number, Directory: filepath.Join(a.directory, number),
		VCPUCount: base.VCPUCount, MemoryMiB: base.MemoryMiB, Network: a.request.Network, Defaults: defaults,
	}, base)
}

// explainBoot tells a file system that does not boot from a host that cannot start VMs.
func explainBoot(err error) error {
	words, booted := bootFailure(err)
	if booted {
		return err
	}
	return &Failure{Cause: CauseBootFailed, cause: err, Message: "The file system did not boot: its first process or Wrenn's agent in it did not start. " +
		words + "Look for a step that removed or replaced what a system needs, or for too little memory"}
}

// bootFailure returns a sentence of what a guest that did not boot has said; booted is true
// for other errors.
func bootFailure(err error) (words string, booted bool) {
	var blamed *guest.Error
	var boot *guest.BootError
	if errors.As(err, &boot) && boot.Words != "" {
		return fmt.Sprintf("The guest said: %s. ", strings.TrimSuffix(buildlog.Clean(boot.Words), ".")), false
	}
	return "", !errors.As(err, &blamed)
}
