using VmShunt.Hypervisor;
using VmShunt.Terminal;

return HypervisorOptions.Invoke(args, Run);

static int Run(HypervisorOptions options)
{
    using var log = new ProgramLog("hypervisor", options.Log);
    LastDefence.Use(log.Logger);
    using var hypervisor = new HypervisorProcess(options, log.Logger);
    hypervisor.Start();
    OutputLine.Write($"ready socket={options.Socket}");
    return hypervisor.Run();
}
