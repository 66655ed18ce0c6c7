package route53

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	api "github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/libdns/libdns"
)

// GetRecords lists the records of the zone, and what else answers in the place
// of records: aliases, and record sets with a routing policy.
func (p *Provider) GetRecords(ctx context.Context, zone string) ([]libdns.Record, error) {
	zone = fqdn(zone)
	id, err := p.zoneID(ctx, zone)
	if err != nil {
		return nil, err
	}
	input := &api.ListResourceRecordSetsInput{HostedZoneId: &id}
	var recs []libdns.Record
	for {
		page, err := p.reader.ListResourceRecordSets(ctx, input)
		if err != nil {
			var unknown *types.NoSuchHostedZone
			if errors.As(err, &unknown) {
				err = fmt.Errorf("NoSuchHostedZone: %w", err)
			}
			return nil, err
		}
		for _, set := range page.ResourceRecordSets {
			if set.Type == types.RRTypeSoa && *set.Name != zone {
				return nil, fmt.Errorf("NoSuchHostedZone: the hosted zone %s is %s and not %s", id, strings.TrimSuffix(*set.Name, "."), strings.TrimSuffix(zone, "."))
			}
			recs = append(recs, records(set, zone)...)
		}
		if !page.IsTruncated {
			return recs, nil
		}
		input.StartRecordName, input.StartRecordType, input.StartRecordIdentifier = page.NextRecordName, page.NextRecordType, page.NextRecordIdentifier
	}
}

// zoneID finds the hosted zone that the library writes to.
func (p *Provider) zoneID(ctx context.Context, zone string) (string, error) {
	if id := p.client.HostedZoneID; id != "" {
		return id, nil
	}
	list, err := p.reader.ListHostedZonesByName(ctx, &api.ListHostedZonesByNameInput{DNSName: &zone, MaxItems: new(int32(1))})
	if err != nil {
		return "", err
	}
	for _, z := range list.HostedZones {
		if *z.Name == zone {
			return *z.Id, nil
		}
	}
	return "", fmt.Errorf("HostedZoneNotFound: No zones found for the domain %s", zone)
}

// ListZones lists the public hosted zones of the account or, with `hosted_zone_id`,
// that one alone. It asks for nothing that the other calls do not ask for.
func (p *Provider) ListZones(ctx context.Context) ([]libdns.Zone, error) {
	if id := p.client.HostedZoneID; id != "" {
		return p.onlyZone(ctx, id)
	}
	input := new(api.ListHostedZonesByNameInput)
	var zones []libdns.Zone
	for {
		page, err := p.reader.ListHostedZonesByName(ctx, input)
		if err != nil {
			return nil, err
		}
		for _, z := range page.HostedZones {
			if z.Config == nil || !z.Config.PrivateZone {
				zones = append(zones, libdns.Zone{Name: *z.Name})
			}
		}
		if !page.IsTruncated {
			return zones, nil
		}
		input.DNSName, input.HostedZoneId = page.NextDNSName, page.NextHostedZoneId
	}
}

// onlyZone returns the zone of the ID. Its own records come first.
func (p *Provider) onlyZone(ctx context.Context, id string) ([]libdns.Zone, error) {
	page, err := p.reader.ListResourceRecordSets(ctx, &api.ListResourceRecordSetsInput{HostedZoneId: &id})
	if err != nil {
		return nil, err
	}
	for _, set := range page.ResourceRecordSets {
		if set.Type == types.RRTypeSoa {
			return []libdns.Zone{{Name: *set.Name}}, nil
		}
	}
	return nil, fmt.Errorf("the hosted zone %s does not show its SOA record, which has its name", id)
}

// records are those of a record set.
func records(set types.ResourceRecordSet, zone string) []libdns.Record {
	rr := libdns.RR{Name: libdns.RelativeName(*set.Name, zone), Type: string(set.Type)}
	if rest, ok := strings.CutPrefix(rr.Name, `\052`); ok {
		rr.Name = "*" + rest
	}
	what := ""
	if policy := routingPolicy(set); policy != "" {
		what = fmt.Sprintf("a record set with a routing policy (%s) is in the way, and no update can take its place", policy)
	}
	if set.AliasTarget != nil {
		rr.Data = *set.AliasTarget.DNSName
		if what == "" {
			what = fmt.Sprintf("an ALIAS record to %s is in the way", strings.TrimSuffix(rr.Data, "."))
		}
		switch set.Type {
		case types.RRTypeA, types.RRTypeAaaa:
			rr.Type = "ALIAS"
			return []libdns.Record{held{rr, string(set.Type), what}}
		case types.RRTypeCname:
			return []libdns.Record{rr}
		}
		return nil
	}
	if set.TTL != nil {
		rr.TTL = time.Duration(*set.TTL) * time.Second
	}
	var recs []libdns.Record
	for _, value := range set.ResourceRecords {
		rr.Data = *value.Value
		if rr.Type == "TXT" || rr.Type == "SPF" {
			rr.Data = text(rr.Data)
		}
		if what != "" {
			recs = append(recs, held{rr, rr.Type, what})
		} else if parsed, err := rr.Parse(); err == nil {
			recs = append(recs, parsed)
		} else {
			recs = append(recs, rr)
		}
	}
	return recs
}

// held is a record of a set that cannot be written like any other.
type held struct {
	rr        libdns.RR
	typ, what string
}

// RR implements libdns.Record.
func (h held) RR() libdns.RR { return h.rr }

// Holds returns the type of the record set, and what it is.
func (h held) Holds() (rrtype, what string) { return h.typ, h.what }

// routingPolicy returns what decides which of several record sets of one name
// and type answers, or "" for a simple one.
func routingPolicy(set types.ResourceRecordSet) string {
	switch {
	case set.Weight != nil:
		return "weighted"
	case set.Region != "":
		return "latency"
	case set.Failover != "":
		return "failover"
	case set.GeoLocation != nil:
		return "geolocation"
	case set.GeoProximityLocation != nil:
		return "geoproximity"
	case set.CidrRoutingConfig != nil:
		return "IP-based"
	case set.MultiValueAnswer != nil:
		return "multivalue answer"
	case set.SetIdentifier != nil:
		return "set " + *set.SetIdentifier
	}
	return ""
}

// text returns the text of a TXT record, whose strings the API has in quotes and
// with other characters than those of ASCII as octal escapes.
func text(value string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '"':
			quoted = !quoted
			continue
		case c == ' ' && !quoted:
			continue
		case c == '\\' && i+1 < len(value):
			if i+3 < len(value) {
				if octal, err := strconv.ParseUint(value[i+1:i+4], 8, 8); err == nil {
					b.WriteByte(byte(octal))
					i += 3
					continue
				}
			}
			i++
			c = value[i]
		}
		b.WriteByte(c)
	}
	return b.String()
}
