//go:build linux && !race

package lab

const raceDetector = false
