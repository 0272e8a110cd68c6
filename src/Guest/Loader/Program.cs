using VmShunt.Guest.Loader;
using VmShunt.Terminal;

return CommandLineRun.Guard("vmshunt-guest", () => Loader.Run(args));
