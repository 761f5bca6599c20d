package hostagent

import (
	"fmt"

	pb "git.omukk.dev/wrenn/sandbox/gen/hostagent/v1"
	"git.omukk.dev/wrenn/sandbox/internal/build/plan"
	"git.omukk.dev/wrenn/sandbox/internal/image"
)

// fromBuild decodes a build. Sizes that no int holds are not possible either.
func fromBuild(m *pb.StartBuildRequest) (plan.Request, error) {
	request := plan.Request{
		BuildID: m.BuildId, TeamID: m.TeamId, TemplateID: m.TemplateId,
		VCPUCount: int(m.VcpuCount), MemoryMiB: int(m.MemoryMib), DiskMiB: int(m.DiskMib),
		StartCommand: m.StartCommand, ReadyCommand: m.ReadyCommand, UseImageCommand: m.UseImageCommand, ImageDefaults: m.ImageDefaults,
		Init: m.Init, Force: m.Force, Network: fromNetwork(m.Network, false), Secrets: m.Secrets,
	}
	for number, stage := range m.Stages {
		decoded := plan.Stage{Name: stage.Name, Base: fromBase(stage)}
		for _, step := range stage.Steps {
			instruction, err := fromInstruction(step)
			if err != nil {
				return plan.Request{}, fmt.Errorf("stage %d, step %s: %w", number, step.Name, err)
			}
			decoded.Steps = append(decoded.Steps, plan.Step{
				Name: step.Name, Text: step.Text, Line: int(step.Line), Force: step.Force, Do: instruction,
			})
		}
		request.Stages = append(request.Stages, decoded)
	}
	return request, nil
}

func fromBase(stage *pb.BuildStage) plan.Base {
	switch base := stage.Base.(type) {
	case *pb.BuildStage_Image:
		return plan.Base{Image: fromImage(base.Image)}
	case *pb.BuildStage_BuildId:
		return plan.Base{BuildID: base.BuildId}
	case *pb.BuildStage_Stage:
		index := int(base.Stage)
		return plan.Base{Stage: &index}
	case *pb.BuildStage_Scratch:
		return plan.Base{Scratch: base.Scratch}
	default:
		return plan.Base{}
	}
}

func fromImage(source *pb.ImageSource) *plan.Image {
	if source == nil {
		return nil
	}
	decoded := &plan.Image{Reference: source.Reference}
	switch credentials := source.Credentials.(type) {
	case *pb.ImageSource_Basic:
		decoded.Credentials = image.Basic{Username: credentials.Basic.GetUsername(), Password: credentials.Basic.GetPassword()}
	case *pb.ImageSource_Aws:
		decoded.Credentials = image.AWS{
			AccessKeyID: credentials.Aws.GetAccessKeyId(), SecretAccessKey: credentials.Aws.GetSecretAccessKey(), Region: credentials.Aws.GetRegion(),
		}
	case *pb.ImageSource_Google:
		decoded.Credentials = image.Google{ServiceAccountJSON: credentials.Google.GetServiceAccountJson()}
	}
	return decoded
}

func fromInstruction(step *pb.BuildStep) (plan.Instruction, error) {
	switch kind := step.Kind.(type) {
	case *pb.BuildStep_Run:
		return fromRun(kind.Run), nil
	case *pb.BuildStep_Copy:
		return fromCopy(kind.Copy), nil
	case *pb.BuildStep_AddUrl:
		add := kind.AddUrl
		return plan.AddURL{URL: add.GetUrl(), Destination: add.GetDestination(), Owner: add.GetOwner(), Mode: add.GetMode(), Checksum: add.GetChecksum()}, nil
	case *pb.BuildStep_Env:
		return plan.Env{Variables: fromVariables(kind.Env)}, nil
	case *pb.BuildStep_Arg:
		return plan.Arg{Variables: fromVariables(kind.Arg)}, nil
	case *pb.BuildStep_Workdir:
		return plan.Workdir{Path: kind.Workdir.GetPath()}, nil
	case *pb.BuildStep_User:
		user := kind.User
		return plan.User{Name: user.GetName(), Sudo: user.GetSudo(), MustExist: user.GetMustExist()}, nil
	case *pb.BuildStep_Shell:
		return plan.Shell{Shell: kind.Shell.GetShell()}, nil
	case *pb.BuildStep_ImageConfig:
		return plan.ImageConfig{Entrypoint: fromStrings(kind.ImageConfig.GetEntrypoint()), Command: fromStrings(kind.ImageConfig.GetCommand())}, nil
	default:
		return nil, fmt.Errorf("%w: this host does not know the kind of the step", plan.ErrInvalid)
	}
}

func fromRun(run *pb.RunStep) plan.Run {
	decoded := plan.Run{Command: run.GetCommand(), Exec: run.GetExec(), User: run.GetUser()}
	for _, mount := range run.GetSecrets() {
		decoded.Secrets = append(decoded.Secrets, plan.SecretMount{ID: mount.Id, Path: mount.Path, Variable: mount.Variable, Required: mount.Required})
	}
	return decoded
}

func fromCopy(files *pb.CopyStep) plan.Copy {
	decoded := plan.Copy{
		FilesHash: files.GetFilesHash(), FromImage: fromImage(files.GetFromImage()), Sources: files.GetSources(), Destination: files.GetDestination(),
		Owner: files.GetOwner(), Mode: files.GetMode(), Extract: files.GetExtract(),
	}
	if files != nil && files.FromStage != nil {
		index := int(*files.FromStage)
		decoded.FromStage = &index
	}
	if files != nil && files.Content != nil {
		decoded.Content = &files.Content
	}
	return decoded
}

func fromVariables(step *pb.EnvStep) []plan.Variable {
	var all []plan.Variable
	for _, variable := range step.GetVariables() {
		all = append(all, plan.Variable{Name: variable.Name, Value: variable.Value})
	}
	return all
}

func fromStrings(list *pb.StringList) *[]string {
	if list == nil {
		return nil
	}
	values := append([]string{}, list.Values...)
	return &values
}
