package conf

import "github.com/caddyserver/caddy/v2/modules/caddyhttp"

// PrivateRanges is the word for the ranges that it means elsewhere in Caddy.
const PrivateRanges = "private_ranges"

// ExpandRanges replaces the word private_ranges by the ranges that it means
// elsewhere in Caddy, whose list has bare addresses and stray bits in it.
func ExpandRanges(args []string) []string {
	var ranges []string
	for _, arg := range args {
		if arg != PrivateRanges {
			ranges = append(ranges, arg)
			continue
		}
		for _, s := range caddyhttp.PrivateRangesCIDR() {
			if prefix, err := caddyhttp.CIDRExpressionToPrefix(s); err == nil {
				s = prefix.Masked().String()
			}
			ranges = append(ranges, s)
		}
	}
	return ranges
}
