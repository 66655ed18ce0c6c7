package igd

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/html/charset"
)

// maxAnswer bounds the answer to a call.
const maxAnswer = 16 << 10

// ErrNoAddress says that the router answered, and has no address.
var ErrNoAddress = errors.New("the router has no public address now: it is offline, or the router itself is behind NAT")

// Fault is a device's refusal of a call.
type Fault struct {
	// Code is UPnP's error code, such as 401 for an action that the device
	// does not have, or 0 if it gave none.
	Code int
	// Text is what the device says about it.
	Text string
}

func (f *Fault) Error() string {
	return fmt.Sprintf("the router refuses, with UPnP error %d, %.64q", f.Code, f.Text)
}

// Call calls an action that takes no arguments, and returns the values that it
// answers with, by their names. The client should be one of [Client].
func Call(ctx context.Context, client *http.Client, control *url.URL, serviceType, action string) (map[string]string, error) {
	var body bytes.Buffer
	body.WriteString(xml.Header + `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">` +
		`<s:Body><u:` + action + ` xmlns:u="`)
	_ = xml.EscapeText(&body, []byte(serviceType))
	body.WriteString(`"></u:` + action + `></s:Body></s:Envelope>`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, control.String(), &body)
	if err != nil {
		return nil, shortened(err)
	}
	req.Header.Set("Content-Type", `text/xml; charset="utf-8"`)
	// Some devices compare the name of the field as it is written.
	req.Header["SOAPACTION"] = []string{`"` + serviceType + "#" + action + `"`}
	resp, err := client.Do(req)
	if err != nil {
		return nil, shortened(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", shortened(err))
	}
	// Faults come with status 500.
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusInternalServerError {
		return nil, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	values, err := parseAnswer(answer, action)
	if err == nil && resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	return values, err
}

// parseAnswer reads the answer to a call.
func parseAnswer(answer []byte, action string) (map[string]string, error) {
	if len(answer) > maxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	var envelope struct {
		XMLName xml.Name `xml:"Envelope"`
		Body    struct {
			Fault *struct {
				Text   string `xml:"faultstring"`
				Detail struct {
					Code int    `xml:"errorCode"`
					Text string `xml:"errorDescription"`
				} `xml:"detail>UPnPError"`
			} `xml:"Fault"`
			Responses []struct {
				XMLName xml.Name
				Values  []struct {
					XMLName xml.Name
					Text    string `xml:",chardata"`
				} `xml:",any"`
			} `xml:",any"`
		} `xml:"Body"`
	}
	if err := decode(answer, &envelope); err != nil {
		return nil, fmt.Errorf("the answer is no SOAP: %w", shortened(err))
	}
	body := envelope.Body
	if body.Fault != nil {
		text := body.Fault.Detail.Text
		if text == "" {
			text = body.Fault.Text
		}
		return nil, &Fault{body.Fault.Detail.Code, text}
	}
	if len(body.Responses) != 1 || body.Responses[0].XMLName.Local != action+"Response" {
		return nil, fmt.Errorf("the answer is not one to %s", action)
	}
	values := make(map[string]string)
	for _, v := range body.Responses[0].Values {
		if _, again := values[v.XMLName.Local]; again {
			return nil, fmt.Errorf("the answer has %.64q twice", v.XMLName.Local)
		}
		values[v.XMLName.Local] = strings.TrimSpace(v.Text)
	}
	return values, nil
}

func decode(b []byte, into any) error {
	decoder := xml.NewDecoder(bytes.NewReader(b))
	decoder.CharsetReader = charset.NewReaderLabel
	return decoder.Decode(into)
}

// ExternalIPv4 asks a WANIPConnection or WANPPPConnection service for the
// router's address. The error wraps [ErrNoAddress] if it has none.
func ExternalIPv4(ctx context.Context, client *http.Client, control *url.URL, serviceType string) (netip.Addr, error) {
	values, err := Call(ctx, client, control, serviceType, "GetExternalIPAddress")
	if err != nil {
		return netip.Addr{}, err
	}
	s, ok := values["NewExternalIPAddress"]
	if !ok {
		return netip.Addr{}, errors.New("the answer has no NewExternalIPAddress")
	}
	return parseExternalIPv4(s)
}

func parseExternalIPv4(s string) (netip.Addr, error) {
	if s == "" || s == "0.0.0.0" {
		return netip.Addr{}, ErrNoAddress
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || !ip.Is4() {
		return netip.Addr{}, fmt.Errorf("the answer %.64q is not an IPv4 address", s)
	}
	return ip, nil
}
