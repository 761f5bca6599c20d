package host

import (
	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/pkg/build"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
)

var buildCauses = map[pb.BuildFailureCause]build.Cause{
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_IMAGE_NOT_FOUND:      build.CauseImageNotFound,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_IMAGE_UNAUTHORIZED:   build.CauseImageUnauthorized,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_WRONG_PLATFORM:       build.CauseWrongPlatform,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_REGISTRY_UNREACHABLE: build.CauseRegistryUnreachable,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_IMAGE_INVALID:        build.CauseImageInvalid,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_NO_SPACE:             build.CauseNoSpace,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_OUT_OF_MEMORY:        build.CauseOutOfMemory,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_TIMED_OUT:            build.CauseTimedOut,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_HASH_MISMATCH:        build.CauseHashMismatch,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_FILE_MISSING:         build.CauseFileMissing,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_COMMAND_FAILED:       build.CauseCommandFailed,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_NOT_READY:            build.CauseNotReady,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_CANCELLED:            build.CauseCancelled,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_BASE_NOT_FOUND:       build.CauseBaseNotFound,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_INVALID_STEP:         build.CauseInvalidStep,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_INTERNAL:             build.CauseInternal,
	pb.BuildFailureCause_BUILD_FAILURE_CAUSE_BOOT_FAILED:          build.CauseBootFailed,
}

var buildLevels = map[pb.BuildLogLevel]build.Level{
	pb.BuildLogLevel_BUILD_LOG_LEVEL_DEBUG: build.LevelDebug, pb.BuildLogLevel_BUILD_LOG_LEVEL_INFO: build.LevelInfo,
	pb.BuildLogLevel_BUILD_LOG_LEVEL_WARN: build.LevelWarn, pb.BuildLogLevel_BUILD_LOG_LEVEL_ERROR: build.LevelError,
}

func toStartBuild(start build.Start) *pb.StartBuildRequest {
	request := &pb.StartBuildRequest{
		BuildId: start.BuildID, TeamId: start.TeamID, TemplateId: start.TemplateID,
		VcpuCount: uint32(start.VCPUCount), MemoryMib: uint32(start.MemoryMiB), DiskMib: uint32(start.DiskMiB),
		StartCommand: start.Definition.StartCommand, ReadyCommand: start.Definition.ReadyCommand, Force: start.Definition.Force,
		Secrets: start.Confidential.Secrets, UseImageCommand: start.Definition.UseImageCommand, Init: start.Definition.Init,
		ImageDefaults: start.Definition.ImageDefaults,
	}
	for _, stage := range start.Definition.Stages {
		request.Stages = append(request.Stages, toBuildStage(stage, start))
	}
	return request
}

func toBuildStage(stage build.Stage, start build.Start) *pb.BuildStage {
	message := &pb.BuildStage{Name: stage.Name}
	switch base := stage.Base; {
	case base.Image != "":
		message.Base = &pb.BuildStage_Image{Image: toImage(base.Image, start.Confidential)}
	case base.Template != "":
		message.Base = &pb.BuildStage_BuildId{BuildId: start.Builds[base.Template]}
	case base.Stage != nil:
		message.Base = &pb.BuildStage_Stage{Stage: uint32(*base.Stage)}
	default:
		message.Base = &pb.BuildStage_Scratch{Scratch: true}
	}
	for _, step := range stage.Steps {
		message.Steps = append(message.Steps, toBuildStep(step, start.Confidential))
	}
	return message
}

func toImage(reference string, confidential build.Confidential) *pb.ImageSource {
	image := &pb.ImageSource{Reference: reference}
	switch credentials := confidential.Registries[reference]; {
	case credentials.Basic != nil:
		image.Credentials = &pb.ImageSource_Basic{Basic: &pb.BasicCredentials{
			Username: credentials.Basic.Username, Password: credentials.Basic.Password,
		}}
	case credentials.AWS != nil:
		image.Credentials = &pb.ImageSource_Aws{Aws: &pb.AWSCredentials{
			AccessKeyId: credentials.AWS.AccessKeyID, SecretAccessKey: credentials.AWS.SecretAccessKey, Region: credentials.AWS.Region,
		}}
	case credentials.Google != nil:
		image.Credentials = &pb.ImageSource_Google{Google: &pb.GoogleCredentials{ServiceAccountJson: credentials.Google.ServiceAccountJSON}}
	}
	return image
}

func toBuildStep(step build.Step, confidential build.Confidential) *pb.BuildStep {
	message := &pb.BuildStep{Name: step.Name, Text: step.Text, Line: uint32(step.Line), Force: step.Force}
	switch {
	case step.Run != nil:
		message.Kind = &pb.BuildStep_Run{Run: toRun(step.Run)}
	case step.Copy != nil:
		message.Kind = &pb.BuildStep_Copy{Copy: toCopy(step.Copy, confidential)}
	case step.AddURL != nil:
		message.Kind = &pb.BuildStep_AddUrl{AddUrl: &pb.AddURLStep{
			Url: step.AddURL.URL, Destination: step.AddURL.Destination, Owner: step.AddURL.Owner,
			Mode: step.AddURL.Mode, Checksum: step.AddURL.Checksum,
		}}
	case step.Env != nil:
		message.Kind = &pb.BuildStep_Env{Env: toVariables(step.Env)}
	case step.Arg != nil:
		message.Kind = &pb.BuildStep_Arg{Arg: toVariables(step.Arg)}
	case step.Workdir != "":
		message.Kind = &pb.BuildStep_Workdir{Workdir: &pb.WorkdirStep{Path: step.Workdir}}
	case step.User != nil:
		message.Kind = &pb.BuildStep_User{User: &pb.UserStep{Name: step.User.Name, Sudo: step.User.Sudo, MustExist: step.User.MustExist}}
	case step.Shell != nil:
		message.Kind = &pb.BuildStep_Shell{Shell: &pb.ShellStep{Shell: step.Shell}}
	case step.ImageConfig != nil:
		message.Kind = &pb.BuildStep_ImageConfig{ImageConfig: &pb.ImageConfigStep{
			Entrypoint: toStrings(step.ImageConfig.Entrypoint), Command: toStrings(step.ImageConfig.Command),
		}}
	}
	return message
}

func toRun(run *build.Run) *pb.RunStep {
	message := &pb.RunStep{Command: run.Command, Exec: run.Exec, User: run.User}
	for _, mount := range run.Secrets {
		message.Secrets = append(message.Secrets, &pb.SecretMount{
			Id: mount.ID, Path: mount.Path, Variable: mount.Variable, Required: mount.Required,
		})
	}
	return message
}

func toCopy(from *build.Copy, confidential build.Confidential) *pb.CopyStep {
	message := &pb.CopyStep{
		FilesHash: from.FilesHash, Sources: from.Sources, Destination: from.Destination, Owner: from.Owner,
		Mode: from.Mode, Extract: from.Extract,
	}
	if from.Content != nil {
		message.Content = []byte(*from.Content)
	}
	if from.FromStage != nil {
		stage := uint32(*from.FromStage)
		message.FromStage = &stage
	}
	if from.FromImage != "" {
		message.FromImage = toImage(from.FromImage, confidential)
	}
	return message
}

func toVariables(variables []build.Variable) *pb.EnvStep {
	step := &pb.EnvStep{}
	for _, variable := range variables {
		step.Variables = append(step.Variables, &pb.Variable{Name: variable.Name, Value: variable.Value})
	}
	return step
}

func toStrings(values *[]string) *pb.StringList {
	if values == nil {
		return nil
	}
	return &pb.StringList{Values: *values}
}

// fromBuildMessage returns false for a message that says nothing that is stored.
func fromBuildMessage(message *pb.WatchBuildResponse) (build.Update, bool) {
	switch message := message.Message.(type) {
	case *pb.WatchBuildResponse_Entry:
		level, known := buildLevels[message.Entry.Level]
		if !known {
			level = build.LevelInfo
		}
		return build.Update{Entry: &build.Entry{Sequence: int64(message.Entry.Sequence), LogEntry: build.LogEntry{
			At: message.Entry.At.AsTime(), Level: level, Step: message.Entry.Step, Text: message.Entry.Text,
		}}}, true
	case *pb.WatchBuildResponse_Result:
		return build.Update{Result: fromBuildResult(message.Result)}, true
	default:
		return build.Update{}, false
	}
}

func fromBuildResult(message *pb.BuildResult) *build.Result {
	result := &build.Result{ImageDigest: message.ImageDigest}
	if ready := message.GetReady(); ready != nil {
		result.Ready = &build.Template{
			VCPUCount: int32(ready.VcpuCount), MemoryMiB: int32(ready.MemoryMib), DiskMiB: int32(ready.DiskMib), EnvdVersion: ready.EnvdVersion,
			MadeBy: sandbox.Maker{Driver: ready.Driver, Accelerator: ready.Accelerator},
		}
		return result
	}
	failed := message.GetFailure()
	cause, known := buildCauses[failed.GetCause()]
	if !known {
		cause = build.CauseInternal
	}
	result.Failure = &build.Failure{
		Cause: cause, Step: failed.GetStep(), Line: int(failed.GetLine()), Command: failed.GetCommand(), ExitCode: failed.GetExitCode(),
		Message: failed.GetMessage(), LastLines: failed.GetLastLines(),
	}
	return result
}
