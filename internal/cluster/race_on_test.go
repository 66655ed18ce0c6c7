//go:build race

package cluster

const defaultRuns = 50
