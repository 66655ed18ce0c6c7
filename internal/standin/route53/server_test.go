package route53

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const (
	upsert = `<Change><Action>UPSERT</Action><ResourceRecordSet><Name>new.example.com</Name><Type>A</Type><TTL>60</TTL>` +
		`<ResourceRecords><ResourceRecord><Value>203.0.113.1</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change>`
	create = `<Change><Action>CREATE</Action><ResourceRecordSet><Name>www.example.com</Name><Type>A</Type><TTL>60</TTL>` +
		`<ResourceRecords><ResourceRecord><Value>203.0.113.1</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change>`
)

func TestBatchIsMadeAsAWhole(t *testing.T) {
	deletion := strings.Replace(create, "CREATE", "DELETE", 1)
	for _, tc := range []struct {
		name, changes string
		want          string // part of the refusal; none if empty
	}{
		{"created and upserted", strings.Replace(create, "www", "www2", 1) + upsert, ""},
		{"exists", upsert + create, "[Tried to create resource record set [name='www.example.com.', type='A'] but it already exists]"},
		{"other value deleted", upsert + deletion, "do not match the current values"},
		{"not there", upsert + strings.Replace(deletion, "www", "nothing", 1), "but it was not found"},
		{"another zone", upsert + strings.ReplaceAll(create, "www.example.com", "www.example.org"), "is not permitted in zone example.com."},
		{"beside a CNAME", upsert + strings.Replace(create, "www", "alias", 1), "conflicts with other records"},
		{"no TTL", upsert + strings.Replace(create, "<TTL>60</TTL>", "", 1), "Expected exactly one of"},
		{"no address", upsert + strings.Replace(create, "203.0.113.1", "here", 1), "ARRDATAIllegalIPv4Address"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := New()
			defer srv.Close()
			id := srv.AddZone("example.com")
			srv.Set("example.com", "www.example.com", "A", 60, "198.51.100.1")
			srv.Set("example.com", "alias.example.com", "CNAME", 60, "other.example.")
			body := `<ChangeResourceRecordSetsRequest xmlns="` + namespace + `"><ChangeBatch><Changes>` + tc.changes +
				`</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>`
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/2013-04-01/hostedzone/"+id+"/rrset", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+AccessKeyID+"/20260101/us-east-1/route53/aws4_request")
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			raw, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			answer := strings.ReplaceAll(string(raw), "&#39;", "'")
			wantValues := []string{"203.0.113.1"}
			if tc.want != "" {
				wantValues = nil
			}
			if (res.StatusCode == http.StatusOK) != (tc.want == "") || !strings.Contains(answer, tc.want) {
				t.Errorf("%d %s, want %q", res.StatusCode, answer, tc.want)
			}
			if got := srv.Values("example.com", "new.example.com", "A"); !slices.Equal(got, wantValues) {
				t.Errorf("the batch's other change left %v, want %v", got, wantValues)
			}
		})
	}
}
