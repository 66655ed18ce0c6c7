// Package browser looks at the status page in Debian's Chromium. It is a module
// of its own, for the product must not depend on what drives a browser.
//
// The screenshots are in the directory that STATUSPAGE_SCREENSHOTS names, or in
// dynamic-dns-statuspage below the temporary one. The README's picture is taken
// anew by
//
//	go test -run TestPicture . -readme
package browser
