package placement

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/scheduler"
)

// DemandIsolation joins the isolation that a client asks for with what its team demands.
func DemandIsolation(ctx context.Context, conn db.Conn, teamID uuid.UUID, asked sandbox.Isolation) (sandbox.Isolation, error) {
	if err := asked.Validate(); err != nil {
		return "", fault.New(fault.Invalid, "%s", err)
	}
	ofTeam, err := teamIsolation(ctx, conn, teamID)
	if err != nil {
		return "", err
	}
	demand, err := sandbox.DemandedIsolation(asked, ofTeam)
	if err != nil {
		return "", fault.Wrap(fault.Forbidden, err, "%s: ask for %s or for none; an admin of the team can change what it demands", err, ofTeam).
			Because(fault.IsolationDenied)
	}
	return demand, nil
}

// RequireIsolation refuses a start on a host that does not give what the sandbox was
// created with, or what its team demands by now.
func RequireIsolation(ctx context.Context, conn db.Conn, of sandbox.Sandbox) error {
	given, err := hostIsolation(ctx, conn, of.HostID)
	if err != nil {
		return err
	}
	ofTeam, err := teamIsolation(ctx, conn, of.TeamID)
	if err != nil {
		return err
	}
	switch {
	case !given.Satisfies(of.Isolation):
		return fault.New(fault.Conflict,
			"sandbox %s was created with isolation %s, and its host gives %s now: have the host run its former driver again",
			of.ID, of.Isolation, nameOf(given)).Because(fault.NoCompatibleHost)
	case !given.Satisfies(ofTeam):
		return fault.New(fault.Forbidden,
			"the team demands isolation %s, and the host of sandbox %s gives %s: create another sandbox, or have the team's demand changed",
			ofTeam, of.ID, nameOf(given)).Because(fault.IsolationDenied)
	}
	return nil
}

// nameOf is for messages.
func nameOf(given sandbox.Isolation) string {
	if given == "" {
		return "an unknown one"
	}
	return string(given)
}

// candidate is a host as a refused request sees it.
type candidate struct {
	id     uuid.UUID
	is     sandbox.Maker
	has    bool
	madeBy sandbox.Maker
}

func (c candidate) gives() sandbox.Isolation { return sandbox.IsolationOf(c.is.Driver) }

// whyNoneSuits returns why no host suits a sandbox. What only an operator changes is a
// Conflict, which clients do not try again.
func whyNoneSuits(ctx context.Context, conn db.Conn, request scheduler.Request, cause error) error {
	all, err := candidates(ctx, conn, request.Build)
	if err != nil {
		return err
	}
	if err := whyNoneIsolates(all, request.Isolation, cause); err != nil {
		return err
	}
	if request.Host != uuid.Nil {
		all = slices.DeleteFunc(all, func(c candidate) bool { return c.id != request.Host })
		if err := whyNoneIsolates(all, request.Isolation, cause); err != nil {
			return fault.Wrap(fault.Conflict, cause, "isolation %s is demanded, and the sandbox's volumes are on a host that gives %s",
				request.Isolation, isolationsOf(all)).Because(fault.NoCompatibleHost)
		}
	}
	having := slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return !c.has })
	isolating := slices.DeleteFunc(slices.Clone(having), func(c candidate) bool { return !c.gives().Satisfies(request.Isolation) })
	switch {
	case len(having) > 0 && len(isolating) == 0:
		return fault.Wrap(fault.Conflict, cause,
			"isolation %s is demanded, and only hosts with isolation %s have this template: build it on one that gives %s, or demand another isolation",
			request.Isolation, isolationsOf(having), request.Isolation).Because(fault.NoCompatibleHost)
	case len(isolating) > 0 && !slices.ContainsFunc(isolating, func(c candidate) bool { return c.is.Restores(c.madeBy) }):
		return fault.Wrap(fault.Conflict, cause,
			"the template was made by %s, which its host does not run any more: build it again, or have the host run its former driver",
			isolating[0].madeBy).Because(fault.NoCompatibleHost)
	}
	return fault.Wrap(fault.Unavailable, cause, "no host that has the template is ready at the moment").Because(fault.NoCompatibleHost)
}

// whyNoneBuilds returns why no host suits a build.
func whyNoneBuilds(ctx context.Context, conn db.Conn, request scheduler.Request, cause error) error {
	all, err := candidates(ctx, conn, request.Build)
	if err != nil {
		return err
	}
	if err := whyNoneIsolates(all, request.Isolation, cause); err != nil {
		return err
	}
	return fault.Wrap(fault.Unavailable, cause, "no host is ready for builds at the moment")
}

// whyNoneIsolates returns an error where no host of the fleet gives an isolation.
func whyNoneIsolates(all []candidate, demand sandbox.Isolation, cause error) error {
	if len(all) == 0 || slices.ContainsFunc(all, func(c candidate) bool { return c.gives().Satisfies(demand) }) {
		return nil
	}
	return fault.Wrap(fault.Conflict, cause,
		"no host of this installation gives isolation %s; they give %s. Demand that or none, or have the operator add a host with another driver",
		demand, isolationsOf(all)).Because(fault.NoCompatibleHost)
}

// isolationsOf names what hosts give.
func isolationsOf(all []candidate) string {
	var names []string
	for _, c := range all {
		names = append(names, nameOf(c.gives()))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " and ")
}
