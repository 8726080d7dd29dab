module bench;
  logic        pclk = 0;
  logic        presetn, psel, penable, pwrite, pready, pslverr, irq;
  logic [7:0]  paddr, control;
  logic [31:0] pwdata, prdata;
  logic [3:0]  event_in;
  logic [15:0] status;

  apb_registers dut (
    .pclk(pclk), .presetn(presetn), .psel(psel), .penable(penable), .pwrite(pwrite), .paddr(paddr), .pwdata(pwdata),
    .prdata(prdata), .pready(pready), .pslverr(pslverr), .event_in(event_in), .status(status), .control(control), .irq(irq)
  );

  always #5 pclk = ~pclk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  logic [31:0] registers[0:3];
  logic [31:0] want;
  logic        known;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  // one clock cycle with the bus inputs that are set
  task automatic cycle(input logic [3:0] events);
    event_in = events;
    status = 16'(random());
    known = paddr < 16 && paddr % 4 == 0;
    registers[1] = {16'd0, status};
    want = known && psel && !pwrite ? registers[paddr/4] : 32'd0;
    #1;
    check("prdata", prdata, want);
    check("pready", pready, 1);
    check("pslverr", pslverr, psel && penable && !known);
    check("control", control, registers[0]);
    check("irq", irq, (registers[2] & registers[3]) != 0);
    if (psel && penable && pwrite && known) begin
      case (paddr)
        8'h00: registers[0] = pwdata % 256;
        8'h08: registers[2] = registers[2] & ~pwdata;
        8'h0c: registers[3] = pwdata % 16;
        default: registers[1] = 0;
      endcase
    end
    registers[2] = registers[2] | {28'd0, events};
    @(negedge pclk);
    check("control", control, registers[0]);
  endtask

  // setup and access phase; events occur in the access phase
  task automatic transfer(input logic is_write, input logic [7:0] where, input logic [31:0] value, input logic [3:0] events);
    psel = 1;
    penable = 0;
    pwrite = is_write;
    paddr = where;
    pwdata = value;
    cycle(0);
    penable = 1;
    cycle(events);
    {psel, penable} = 2'b00;
  endtask

  task automatic reset;
    presetn = 0;
    registers[0] = 0;
    registers[2] = 0;
    registers[3] = 0;
    #1;
    check("control in reset", control, 0);
    check("irq in reset", irq, 0);
    @(negedge pclk);
    presetn = 1;
  endtask

  initial begin
    {psel, penable, pwrite, paddr, pwdata, event_in, status} = '0;
    presetn = 1;
    @(negedge pclk);
    reset();
    for (int i = 0; i < 4; i++) transfer(0, 8'(4 * i), 0, 0);
    for (int i = 0; i < 4; i++) transfer(1, 8'(4 * i), 32'hffff_ffff, 0);
    for (int i = 0; i < 4; i++) transfer(0, 8'(4 * i), 0, 0);
    cycle(4'b0110);
    cycle(4'b0000);
    transfer(0, 8'h08, 0, 0);
    transfer(1, 8'h08, 32'h2, 4'b0000);
    transfer(1, 8'h08, 32'hf, 4'b1100);  // events at the edge of the write
    transfer(0, 8'h08, 0, 0);
    transfer(1, 8'h0c, 32'h3, 0);
    transfer(1, 8'h10, 32'h55, 0);
    transfer(1, 8'h80, 32'haa, 0);
    transfer(0, 8'h02, 0, 0);
    // a setup phase without access, and penable without psel
    psel = 1;
    pwrite = 1;
    paddr = 8'h00;
    pwdata = 32'h77;
    cycle(0);
    psel = 0;
    penable = 1;
    cycle(0);
    penable = 0;
    transfer(0, 8'h00, 0, 0);
    repeat (2000) begin
      transfer(1'(random()), random() % 8 == 0 ? 8'(random()) : 8'(4 * (random() % 4)), random(), 4'(random() & random()));
      if (random() % 4 == 0) cycle(4'(random() & random() & random()));
      if (random() % 64 == 0) reset();
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
