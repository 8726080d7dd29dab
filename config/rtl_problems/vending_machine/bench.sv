module bench;
  logic       clk = 0;
  logic       rst, nickel, dime, quarter, refund, drink;
  logic [6:0] change;
  logic [5:0] credit;

  vending_machine dut (
    .clk(clk), .rst(rst), .nickel(nickel), .dime(dime), .quarter(quarter), .refund(refund), .drink(drink),
    .change(change), .credit(credit)
  );

  always #5 clk = ~clk;

  int errors = 0;
  logic [31:0] seed = 32'h2545_f491;

  function automatic logic [31:0] random();
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return seed;
  endfunction
  int paid, want_credit, want_change;
  logic want_drink;

  task automatic check(input string what, input logic [63:0] got, input logic [63:0] want);
    if (got !== want) begin
      if (errors == 0) $display("FAIL %0s is %0h, not %0h, at %0t", what, got, want, $time);
      errors++;
    end
  endtask

  task automatic cycle(input logic [3:0] inputs);
    {refund, quarter, dime, nickel} = inputs;
    paid = want_credit + (nickel ? 5 : 0) + (dime ? 10 : 0) + (quarter ? 25 : 0);
    want_drink = 0;
    want_change = 0;
    if (rst) paid = 0;
    else if (refund) begin
      want_change = paid;
      paid = 0;
    end else if (paid >= 30) begin
      want_drink = 1;
      want_change = paid - 30;
      paid = 0;
    end
    want_credit = paid;
    @(negedge clk);
    check("drink", drink, want_drink);
    check("change", change, want_change);
    check("credit", credit, want_credit);
  endtask

  initial begin
    want_credit = 0;
    {refund, quarter, dime, nickel} = '0;
    rst = 1;
    @(negedge clk);
    cycle(4'b0111);
    rst = 0;
    // every credit from 0 to 25 with every combination of inputs
    for (int start = 0; start <= 5; start++) begin
      for (int inputs = 0; inputs < 16; inputs++) begin
        cycle(4'b1000);
        repeat (start) cycle(4'b0001);
        cycle(4'(inputs));
        cycle(4'b0000);
      end
    end
    repeat (4000) begin
      rst = random() % 64 == 0;
      cycle(4'(random() & random()));
    end
    if (errors == 0) $display("PASS");
    $finish;
  end
endmodule
