// Package browser looks at the status page in Debian's Chromium. It is a module
// of its own, for the product must not depend on what drives a browser.
package browser
