package egress

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"

	"git.omukk.dev/wrenn/sandbox/internal/notice"
)

const (
	maxQueries        = 64 // at a time; others are dropped, and the guest repeats them
	maxDNSConnections = 4
)

// nameServer answers the guest's DNS queries that the policy allows.
type nameServer struct {
	policy   func() *Policy
	resolver *resolver
	log      *slog.Logger
	notices  *notice.Notices
	turns    chan struct{}
}

func newNameServer(policy func() *Policy, resolver *resolver, log *slog.Logger, notices *notice.Notices) *nameServer {
	return &nameServer{policy: policy, resolver: resolver, log: log, notices: notices, turns: make(chan struct{}, maxQueries)}
}

// serve answers on both sockets until ctx ends, and closes them.
func (s *nameServer) serve(ctx context.Context, packets net.PacketConn, streams net.Listener) {
	handler := dns.HandlerFunc(func(writer dns.ResponseWriter, query *dns.Msg) { s.handle(ctx, writer, query) })
	servers := []*dns.Server{
		{PacketConn: packets, Handler: handler, UDPSize: udpSize},
		{Listener: netutil.LimitListener(streams, maxDNSConnections), Handler: handler},
	}
	var serving sync.WaitGroup
	for _, server := range servers {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		serving.Go(func() {
			if err := server.ActivateAndServe(); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "serve names to the guest", "error", err)
			}
		})
		<-started
	}
	<-ctx.Done()
	for _, server := range servers {
		if err := server.Shutdown(); err != nil {
			s.log.DebugContext(ctx, "stop serving names to the guest", "error", err)
		}
	}
	serving.Wait()
}

func (s *nameServer) handle(ctx context.Context, writer dns.ResponseWriter, query *dns.Msg) {
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	default:
		s.notices.Warn("the guest has too many questions for names under way")
		return
	}
	reply := s.answer(ctx, query)
	if query.IsEdns0() != nil {
		reply.SetEdns0(udpSize, false)
	}
	if _, datagram := writer.LocalAddr().(*net.UDPAddr); datagram {
		size := dns.MinMsgSize
		if options := query.IsEdns0(); options != nil {
			size = min(max(size, int(options.UDPSize())), udpSize)
		}
		reply.Truncate(size)
	}
	if err := writer.WriteMsg(reply); err != nil {
		s.log.DebugContext(ctx, "answer the guest's question", "error", err)
	}
}

// answer returns an answer in any case; one with an error has its response code.
func (s *nameServer) answer(ctx context.Context, query *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	if query.Opcode != dns.OpcodeQuery || len(query.Question) != 1 || query.Question[0].Qclass != dns.ClassINET {
		return reply.SetRcode(query, dns.RcodeNotImplemented)
	}
	question := query.Question[0]
	name, ok := normaliseDomain(question.Name)
	if isRoot := question.Name == "."; !ok && !isRoot || !s.policy().Resolves(name) {
		return reply.SetRcode(query, dns.RcodeNameError)
	}
	switch question.Qtype {
	case dns.TypeAAAA, dns.TypeHTTPS, dns.TypeSVCB:
		// Guests have IPv4 only, and a server name that is encrypted could not be checked.
		return reply.SetReply(query)
	case dns.TypeANY, dns.TypeAXFR, dns.TypeIXFR:
		return reply.SetRcode(query, dns.RcodeNotImplemented)
	}
	upstream, err := s.resolver.exchange(ctx, new(dns.Msg).SetQuestion(question.Name, question.Qtype))
	if err != nil {
		s.log.DebugContext(ctx, "resolve for the guest", "name", name, "error", err)
		return reply.SetRcode(query, dns.RcodeServerFailure)
	}
	if question.Qtype == dns.TypeA && s.policy().Inspects() {
		s.resolver.pin(name, upstream, time.Now())
	}
	reply.SetRcode(query, upstream.Rcode)
	reply.RecursionAvailable = true
	reply.Answer = publicRecords(upstream.Answer)
	reply.Ns = publicRecords(upstream.Ns)
	return reply
}

// publicRecords removes the addresses that the guest may not reach.
func publicRecords(records []dns.RR) []dns.RR {
	return slices.DeleteFunc(records, func(record dns.RR) bool {
		switch record := record.(type) {
		case *dns.A:
			_, public := publicAddress(record)
			return !public
		case *dns.AAAA, *dns.HTTPS, *dns.SVCB, *dns.OPT:
			return true
		}
		return false
	})
}
