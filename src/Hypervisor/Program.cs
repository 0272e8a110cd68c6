using VmShunt.Hypervisor;
using VmShunt.Ring.Memory;
using VmShunt.Sandbox;
using VmShunt.Terminal;

return HypervisorOptions.Invoke(args, Run);

static int Run(HypervisorOptions options)
{
    var confinement = Confinement.Enter(options.Sandbox, () => options.Needs);
    using var log = new ProgramLog("hypervisor", options.Log);
    LastDefence.Use(log.Logger);
    using var hypervisor = new HypervisorProcess(options, log.Logger);
    hypervisor.Start();
    if (confinement is not null)
    {
        // Maps the code of the guarded copy, which the filter refuses.
        _ = BulkCopy.Unguarded;
        log.Logger.Confined(confinement.Seal());
    }
    OutputLine.Write($"ready socket={options.Socket}");
    return hypervisor.Run();
}
