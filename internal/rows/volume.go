package rows

// VolumeMount is a volume that a sandbox mounts, and where.
type VolumeMount struct {
	VolumeID string `json:"volumeID"`
	Name     string `json:"name"`
	Path     string `json:"path"`
}
